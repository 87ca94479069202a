"""Several machines with one database: what they share, who acts, what becomes of one that dies or is cut off."""
