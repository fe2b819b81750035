"""The portal's API: one poll, and what its response means."""
