"""Jobs, the sensor and the schedule. They know asset groups and the planner, and nothing of what assets compute."""
