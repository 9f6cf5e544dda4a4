"""Models that are told what to make: by a label, or by a code that they find themselves."""
