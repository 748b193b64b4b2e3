"""What a node has and a pod asks for: a small vector algebra over whole numbers."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Resources:
    """Whole units only, so that packing and checking are exact."""

    devices: int = 0
    """Accelerator devices of the node's pool; for class CPU a device is a core."""
    cpu_millicores: int = 0
    memory_bytes: int = 0
    ephemeral_bytes: int = 0
    pods: int = 0

    def __add__(self, other: "Resources") -> "Resources":
        return Resources(
            self.devices + other.devices,
            self.cpu_millicores + other.cpu_millicores,
            self.memory_bytes + other.memory_bytes,
            self.ephemeral_bytes + other.ephemeral_bytes,
            self.pods + other.pods,
        )

    def __sub__(self, other: "Resources") -> "Resources":
        return self + other.times(-1)

    def times(self, count: int) -> "Resources":
        return Resources(
            self.devices * count,
            self.cpu_millicores * count,
            self.memory_bytes * count,
            self.ephemeral_bytes * count,
            self.pods * count,
        )

    def fits(self, room: "Resources") -> bool:
        return (
            self.devices <= room.devices
            and self.cpu_millicores <= room.cpu_millicores
            and self.memory_bytes <= room.memory_bytes
            and self.ephemeral_bytes <= room.ephemeral_bytes
            and self.pods <= room.pods
        )

    def copies_in(self, room: "Resources") -> int:
        """How many of these fit into `room`; 0 when one does not."""
        counts = [have // want for have, want in zip(room.as_tuple(), self.as_tuple(), strict=True) if want > 0]
        return max(0, min(counts)) if counts else 0

    def as_tuple(self) -> tuple[int, int, int, int, int]:
        return (self.devices, self.cpu_millicores, self.memory_bytes, self.ephemeral_bytes, self.pods)
