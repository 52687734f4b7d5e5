"""Real clients against the running stack: supabase-js, supabase-py, and what a browser on another port sends."""
