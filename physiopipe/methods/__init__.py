"""Methods of Table 1, one file each, behind one small interface."""
