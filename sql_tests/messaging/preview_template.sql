-- preview_template: a template as a client would read it, and what it costs; sms_segments counts as carriers charge.
begin;
select plan(35);

select is(private.sms_segments(t.body), t.segments, t.title) from (values
  ('', 1, 'nothing is one'), ('Hello', 1, 'a short text is one'), (repeat('a', 160), 1, '160 characters are one'), (repeat('a', 161), 2, '161 are two'), (repeat('a', 306), 2, '306 are two'),
  (repeat('a', 307), 3, '307 are three'), (repeat('€', 80), 1, 'a euro counts for two'), (repeat('€', 80) || 'a', 2, 'so 81 characters may be two'), (repeat('[', 153), 2, 'brackets too'),
  ('@£$¥èéùìòÇØøÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !"#¤%&''()*+,-./:;<=>?¡ÄÖÑÜ§¿äöñüà' || repeat('a', 90), 1, 'the carriers'' alphabet is of one each'), (e'a\nb' || repeat('a', 157), 1, 'a new line too'),
  (repeat('a', 69) || 'ç', 1, 'any other letter makes it 70'), (repeat('a', 70) || 'ç', 2, '71 are two then'), (repeat('a', 133) || 'ç', 2, '134 are two'), (repeat('a', 134) || 'ç', 3, '135 are three'),
  (repeat('🎉', 35), 1, 'an emoji counts for two of them'), (repeat('🎉', 35) || 'a', 2, 'so 36 characters may be two'), (repeat('я', 70), 1, 'other alphabets'), (repeat('’', 71), 2, 'a typographic apostrophe')) as t (body, segments, title);

select tests.sign_in('desk@kilo.example');
select is(preview_template(:'kilo', 'Hi {first_name}, {{session_datetime}}{location}. {answer_hint}') - 'body', '{"placeholders": ["answer_hint", "first_name", "location", "session_datetime"], "characters": 86, "segments": 1}' || jsonb_build_object('characters', char_length(preview_template(:'kilo', 'Hi {first_name}, {{session_datetime}}{location}. {answer_hint}') ->> 'body')), 'what it uses and costs');
select matches(preview_template(:'kilo', 'Hi {first_name}, {session_datetime}{location}.') ->> 'body', '^Hi Alex, (Mon|Tue|Wed|Thu|Fri|Sat|Sun) \d+ [A-Z][a-z]+ at \d+:00 [ap]m at the studio\.$', 'with sample values, in the form of the organisation');
select is(preview_template(:'kilo', '{link}', 'portal_link') ->> 'body', 'https://example.com/l', 'of a kind');
select tests.refuses(format($$ select preview_template(tests.id('kilo'), %L) $$, t.body), 422, t.slug, format('%s is refused', left(t.body, 30))) from (values
  ('{nope}', 'placeholder_unknown'), ('{link}', 'placeholder_unknown'), ('{first_name', 'placeholder_malformed'), ('Text CANCEL to cancel', 'template_invites_cancel'), (' ', 'value_not_allowed'), (repeat('x', 1601), 'value_not_allowed')) as t (body, slug);
select is(preview_template(:'kilo', 'All of {session_datetime} {link} {notice}', 'spring-offer') ->> 'segments', '1', 'a key of the organisation''s own may use all');
select tests.only_for_members($$ select preview_template(tests.id('kilo'), 'Hi') $$, 'org_not_found', 'accountant@kilo.example', 'preview_template');

select * from finish();
rollback;
