"""When a challenger replaces the champion: what was measured, and what follows."""
