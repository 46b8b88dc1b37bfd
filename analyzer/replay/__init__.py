"""Recorded runs as something to hold later ones against."""
