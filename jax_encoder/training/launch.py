"""How the processes of one run find one another, as options. Standard library only."""

import dataclasses

from jax_encoder.errors import InputError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Launch:
    """Several processes that compute one run, each started with the same command; on Slurm, with Open MPI, on TPU pods
    and on GKE they find one another without these.

    Attributes:
        coordinator: Where process 0 listens for the others, as in node1:9876.
        process_id: Number of this process, from 0.
        num_processes: How many there are.
        peer_timeout: Seconds without a sign of life after which another process counts as dead, and this one ends.
    """

    coordinator: str | None = None
    process_id: int | None = None
    num_processes: int | None = None
    peer_timeout: int = 60

    def check(self) -> None:
        """Raises InputError for options that cannot work."""
        together = (self.coordinator, self.process_id, self.num_processes)
        if None in together and any(one is not None for one in together):
            raise InputError("--coordinator, --process-id and --num-processes belong together: give all three, or none")
        if self.num_processes is not None and not 0 <= (self.process_id or 0) < self.num_processes:
            raise InputError(
                f"--process-id must be at least 0 and below --num-processes {self.num_processes}, got {self.process_id}"
            )
        if self.peer_timeout < 1:
            raise InputError(f"--peer-timeout must be at least 1, got {self.peer_timeout}")
