"""Recording and alert rules for Prometheus, and the cases that prove them, from the settings of the detectors.

They are the coarse net: they see in a minute what the detectors see in an hour, know nothing of hours of the day, of
drift or of a fleet that changes together, and so each wants a volume and a duration, and says where to read on.
"""
