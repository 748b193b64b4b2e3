"""From the relaxation to an executable schedule: order, event simulation, packing, checking, explaining. Pure."""
