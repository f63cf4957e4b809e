// Package limiter decides how much a caller may use: exact sliding windows and calendar quotas,
// all limits of a request at once.
//
// What to use:
//
//   - ParseLimit reads what people write: 2/s, 100/10s and 1000/24h slide, 1000/day and 5/month
//     follow the calendar. Limit.Label names a limit's window, Limit.SameWindow tells whether two
//     limits compete for one window.
//   - Calendar tells which day or month it is in a time zone. Keep one for each zone and unit, and
//     put what it answers into Check.Span.
//   - NewLocal makes the Limiter for one process: no I/O, no goroutine, no allocation per decision.
//
// A sliding limit admits a request of cost c at time t exactly when the units admitted in
// (t − window, t] plus c are at most N. There is no burst on top of it and no bucket that refills:
// no real window of that length ever holds more than N units, and a refusal means that the units
// really lie in the window, up to Limit.Resolution. Each counter is a log of when units were
// admitted, so N can change at any time and nothing that was counted is lost.
//
// A refusal is an Answer, an error means that the limiter could not know. What a Decide refuses
// is charged nowhere, what it admits is charged on every counter.
package limiter
