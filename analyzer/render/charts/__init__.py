"""Charts of an incident: a Vega-Lite specification each, made of what is filed alone; `drawing` makes pictures."""
