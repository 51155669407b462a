"""How much of the machine one test of a program may use."""

from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Limits:
    """Limits of each test. All of them are identity: a verdict holds for the limits that it was found under.

    Attributes:
        cpu_seconds: Processor time, whole seconds, over all threads.
        wall_seconds: Time by the clock; behind the processor time, for programs that wait or sleep.
        memory_mb: Address space.
        output_kb: Bytes of each output.
        files_mb: Files that it may write, all together.
        threads: Threads, the first one counted.
    """

    cpu_seconds: int = 5
    wall_seconds: float = 30.0
    memory_mb: int = 1024
    output_kb: int = 1024
    files_mb: int = 16
    threads: int = 32

    def __post_init__(self):
        for name, value in asdict(self).items():
            if not value > 0:
                raise ValueError(f"limit {name} is {value}; a limit is positive")
        if self.memory_mb < 128:
            raise ValueError(f"limit memory_mb is {self.memory_mb}; the interpreter itself needs 128")

    def record(self) -> dict:
        """Plain data, for the process inside and for digests."""
        return asdict(self)
