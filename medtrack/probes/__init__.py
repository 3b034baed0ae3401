"""`/livez`, `/readyz` and `/metrics`, for load balancers and Prometheus."""
