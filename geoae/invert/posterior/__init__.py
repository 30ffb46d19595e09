"""Posteriors: draws, what is read from them, how they are diagnosed, drawn and saved."""
