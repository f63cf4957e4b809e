package keys

import "time"

// How long a session lives: from its last use, and at most from sign-in.
const (
	SessionIdle     = 30 * time.Minute
	SessionLifetime = 12 * time.Hour
)

// ReauthenticationAge is for how long a person who proved who he is counts as confirmed.
const ReauthenticationAge = 5 * time.Minute

// sessionTouch is how old the time of the last use may be before it is written again, so that reading
// writes at most once a minute.
const sessionTouch = time.Minute

// Session is the stored record of a signed-in browser. The text that the browser holds is not in it.
type Session struct {
	ID          SessionID // names it to people; no part of it is secret
	Digest      Digest    // of the browser's text
	User        UserID
	Address     string // where it was opened from
	CreatedAt   time.Time
	SeenAt      time.Time // at most a minute old while in use
	ConfirmedAt time.Time // when the person last proved who he is
	MAC         RowMAC    // over everything above
}

// live tells whether the session still counts.
func (s *Session) live(now time.Time) bool {
	return now.Sub(s.SeenAt) < SessionIdle && now.Sub(s.CreatedAt) < SessionLifetime
}

// EndsAt is when the session ends if it is not used any more.
func (s *Session) EndsAt() time.Time {
	idle, last := s.SeenAt.Add(SessionIdle), s.CreatedAt.Add(SessionLifetime)
	if idle.Before(last) {
		return idle
	}
	return last
}
