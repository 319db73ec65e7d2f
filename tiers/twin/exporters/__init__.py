"""The twin's metrics: what dcgm-exporter, vLLM and kube-state-metrics would expose, as text."""
