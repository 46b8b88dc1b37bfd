"""The analyst on call for fleets of LLM agents. `pipeline` is the place to start reading."""
