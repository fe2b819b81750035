"""What is served over HTTP: endpoints, the status page, TLS and passwords."""
