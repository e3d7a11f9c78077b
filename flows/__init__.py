"""Prefect flows: chains of tasks."""

from flows.logs import log_to_flow_run

log_to_flow_run()
