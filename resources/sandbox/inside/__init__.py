"""What runs in the sandbox's own process: walls first (``walls``, ``calls``), then the tests (``tests``).

Standard library only, and no import of anything else of the project.
"""
