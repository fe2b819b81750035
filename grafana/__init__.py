"""What builds the Grafana dashboard: expressions, parts of panels, and the dashboard made of them."""
