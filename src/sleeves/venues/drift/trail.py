"""Every transaction that an authority's sub-accounts were part of, read once and kept, oldest first. Public shape; being filled in."""
