"""The configuration: from YAML or the environment to one frozen Config."""
