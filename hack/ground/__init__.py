"""The proving ground: real Kubernetes control planes with simulated nodes, as plain processes.

Knows nothing of the operator it serves: it must stay able to judge it.
"""

from hack.ground.fleet import Fleet, load_fleet
from hack.ground.ground import Cluster, Ground, GroundError

__all__ = ["Cluster", "Fleet", "Ground", "GroundError", "load_fleet"]
