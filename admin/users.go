package admin

import (
	"time"

	"postern/internal/keys"
)

// User is a person as the API shows him.
type User struct {
	ID          string    `json:"id" doc:"usr_ and 12 characters." example:"usr_8Kd2mXk0aVbR"`
	Email       string    `json:"email" doc:"With which he signs in; unique in the installation." example:"ada@example.com"`
	Name        string    `json:"name" doc:"What he is called." example:"Ada Lovelace"`
	Tenant      *string   `json:"tenant" doc:"The organisation he belongs to; null for the provider's people." example:"default"`
	Roles       []string  `json:"roles" doc:"His roles." example:"developer"`
	Disabled    bool      `json:"disabled" doc:"He cannot sign in."`
	KeyAccess   bool      `json:"key_access" doc:"He may have keys, if a role lets him."`
	PasswordSet bool      `json:"password_set" doc:"He has chosen a password; false while he is only invited."`
	CreatedAt   time.Time `json:"created_at" doc:"When he was created." example:"2026-11-21T10:00:00Z"`
	UpdatedAt   time.Time `json:"updated_at" doc:"When he was last changed." example:"2026-11-21T10:00:00Z"`
	Version     int64     `json:"version" doc:"Grows with each change; the ETag." example:"1"`
}

// NewUser is what a person is made from.
type NewUser struct {
	Email  string   `json:"email" doc:"With which he signs in; unique in the installation." example:"ada@example.com"`
	Name   string   `json:"name,omitempty" doc:"What he is called." example:"Ada Lovelace"`
	Tenant string   `json:"tenant,omitempty" doc:"The organisation he shall belong to, or the word provider; left out: the caller's, for the provider's people by the roles." example:"default"`
	Roles  []string `json:"roles,omitempty" doc:"His roles." example:"developer"`
}

type userInput struct {
	ID string `path:"id" pattern:"^usr_[0-9A-Za-z]{12}$" patternDescription:"the id of a user" doc:"The person's id." example:"usr_8Kd2mXk0aVbR"`
}

// userOutput answers with one person and his version.
type userOutput struct {
	ETag string `header:"ETag" doc:"The version in quotes, for If-Match." example:"\"1\""`
	Body User
}

func makeUser(u keys.User) User {
	return User{
		ID: string(u.ID), Email: u.Email, Name: u.Name, Tenant: tenantOf(u.Tenant), Roles: texts(u.Roles), Disabled: u.Disabled,
		KeyAccess: !u.NoKeys, PasswordSet: u.Password != "", CreatedAt: u.CreatedAt.UTC(), UpdatedAt: u.UpdatedAt.UTC(), Version: u.Version,
	}
}

func showUserOutput(u keys.User) *userOutput {
	return &userOutput{ETag: etag(u.Version), Body: makeUser(u)}
}
