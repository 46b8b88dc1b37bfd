"""The analyst for other agents, by the Model Context Protocol: what they may ask (`offers`), and the wire (`wire`)."""
