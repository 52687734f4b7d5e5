"""The embedded stack: PostgreSQL shaped as hosted Supabase, with the Data API and the service beside it."""
