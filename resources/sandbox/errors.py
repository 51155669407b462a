"""What is said where programs cannot be run, as against programs that ran and failed."""


class SandboxUnavailable(RuntimeError):
    """This machine cannot hold a program: names the wall that does not stand and the remedy. Nothing was run."""

    def __init__(self, wall: str, detail: str, remedy: str):
        self.wall, self.detail, self.remedy = wall, detail, remedy
        super().__init__(f"no sandbox, so no program is run: {wall}: {detail}; {remedy}")


class SandboxFailed(RuntimeError):
    """The sandbox of one program broke down; its program has no verdict."""
