"""Programs of TBGAN and of its record sets."""
