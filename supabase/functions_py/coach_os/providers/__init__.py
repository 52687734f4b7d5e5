"""The only modules that talk to the outside: Twilio, a mail server, Expo. They know no SQL.

What became of a try is never guessed: see `coach_os.providers.outcome`.
"""
