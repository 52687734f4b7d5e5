-- inbound_meaning: what a whole text says, however it is written; anything else is a message.
begin;
select plan(85);

select is(private.inbound_meaning(t.body), t.meaning, format('%s means %s', to_json(t.body), t.meaning)) from (values
  -- Confirming.
  ('Y', 'confirm'), ('y', 'confirm'), (' y ', 'confirm'), ('Y.', 'confirm'), ('Y!!', 'confirm'), (e'Y\n', 'confirm'), (e'\tyes\r\n', 'confirm'), ('YES', 'confirm'),
  ('Yes!', 'confirm'), ('"Yes"', 'confirm'), ('yes 👍', 'confirm'), ('👍 Yes 🎉', 'confirm'), ('yes 👍🏽', 'confirm'), ('yes ❤️', 'confirm'), ('Ｙ', 'confirm'),
  ('ＹＥＳ', 'confirm'), ('yes…', 'confirm'), ('yep', 'confirm'), ('Okay', 'confirm'), ('OK.', 'confirm'), ('Confirm', 'confirm'), ('CONFIRMED', 'confirm'),
  ('I confirm', 'confirm'), ('yes,  please', 'confirm'), ('Yes - thank you!', 'confirm'), (e'yes\u200B', 'confirm'), (e'\u00A0Y\u00A0', 'confirm'),
  -- Rescheduling.
  ('R', 'reschedule'), ('r', 'reschedule'), ('R.', 'reschedule'), (' Reschedule ', 'reschedule'), ('RESCHEDULE please', 'reschedule'), ('please reschedule!', 'reschedule'),
  -- Stopping: the carriers' words, alone.
  ('STOP', 'opt_out'), ('stop', 'opt_out'), ('Stop.', 'opt_out'), ('STOPALL', 'opt_out'), ('Unsubscribe', 'opt_out'), ('END', 'opt_out'), ('quit', 'opt_out'),
  ('OPTOUT', 'opt_out'), ('opt-out', 'opt_out'), ('Revoke', 'opt_out'), ('🛑 STOP 🛑', 'opt_out'),
  ('CANCEL', 'cancel'), ('cancel', 'cancel'), ('Cancel!', 'cancel'), ('cancel booking', 'cancel'), ('Cancel  session', 'cancel'),
  ('START', 'opt_in'), ('start', 'opt_in'), ('UNSTOP', 'opt_in'), ('HELP', 'help'), ('help?', 'help'), ('Info', 'help'),
  -- Anything else is for the coach to read.
  ('', 'message'), ('   ', 'message'), ('👍', 'message'), ('?', 'message'), ('no', 'message'), ('N', 'message'), ('yes but later', 'message'), ('not ok', 'message'),
  ('Can I stop by at 5?', 'message'), ('please cancel my session', 'message'), ('start at 9?', 'message'), ('I need help', 'message'), ('yyy', 'message'), ('ye s', 'message'),
  ('ok 5:30?', 'message'), ('Y 2', 'message'), ('1', 'message'), ('не y', 'message'), ('нет ok', 'message'), ('да', 'message'), ('sí', 'message'), ('Ÿ', 'message'), ('不 ok', 'message'),
  ('ok ठीक', 'message'), ('stopping', 'message'), ('r u there', 'message'), (repeat('yes ', 2000), 'message'), (repeat('🎉', 5000), 'message'), (repeat(' ', 5000) || 'y', 'confirm'))
    as t (body, meaning);
select is(private.inbound_meaning(null), 'message', 'no text is a message');

select * from finish();
rollback;
