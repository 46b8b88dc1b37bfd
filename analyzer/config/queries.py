"""The PromQL that is asked where nothing else is set."""

from __future__ import annotations

from collections.abc import Mapping

DEFAULT_QUERIES: Mapping[str, tuple[str, ...]] = {
    "cost": ("sum by (agent) (increase(agent_cost_usd_total[$range]))",),
    "trajectories": (
        "sum by (agent) (increase(agent_trajectories_total[$range]))",
        "sum by (agent) (increase(agent_steps_count[$range]))",
    ),
    "errors": ('sum by (agent) (increase(agent_trajectories_total{outcome=~"error|failed|failure|timeout"}[$range]))',),
    "tokens": (
        "sum by (agent) (increase(agent_tokens_total[$range]))",
        "sum by (gen_ai_agent_name) (increase(gen_ai_client_token_usage_sum[$range]))",
        (
            "sum by (gen_ai_agent_name) (increase(gen_ai_client_inference_usage_input_tokens_total[$range]))"
            " + sum by (gen_ai_agent_name) (increase(gen_ai_client_inference_usage_output_tokens_total[$range]))"
        ),
    ),
    "steps": ("sum by (agent) (increase(agent_steps_sum[$range]))",),
    "retries": ("sum by (agent) (increase(agent_retries_total[$range]))",),
    "tool_seconds": ("sum by (agent, tool) (increase(agent_tool_seconds_sum[$range]))",),
    "tool_calls": ("sum by (agent, tool) (increase(agent_tool_seconds_count[$range]))",),
    "inferences": ("sum by (gen_ai_agent_name) (increase(gen_ai_client_operation_duration_seconds_count[$range]))",),
    "changes": ("max by (agent, version) (agent_build_info)",),
}
"""PromQL by signal; the first that gives any series is used. `$range` is replaced by the length of a tick. `changes`
are no signal but versions: a gauge with a label `version` that is there while that build runs."""
