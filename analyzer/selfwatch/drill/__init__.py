"""Drills: known faults over copies of the fleet's own trajectories. Pure; `pipeline/drill.py` walks."""
