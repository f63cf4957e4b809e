package admin

import (
	"context"

	"postern/internal/keys"
)

const editUserDoc = "Changes what is given. Everybody may change his own name and, after POST /v1/session/confirm, his own password, which ends all his sessions; " +
	"the rest takes users.manage. Disabling a person ends his sessions and the tokens that act as him; his keys keep working. The last administrator cannot be disabled."

type editUserInput struct {
	ID      string `path:"id" pattern:"^usr_[0-9A-Za-z]{12}$" patternDescription:"the id of a user" doc:"The person's id." example:"usr_8Kd2mXk0aVbR"`
	IfMatch string `header:"If-Match" doc:"Change only while the person still has this ETag." example:"\"1\""`
	Body    UserEdit
}

// UserEdit is what may be changed of a person.
type UserEdit struct {
	Name     Maybe[string] `json:"name,omitzero" doc:"What he is called; null for nothing." example:"Ada Lovelace"`
	Email    Maybe[string] `json:"email,omitzero" doc:"With which he signs in." example:"ada@example.com"`
	Disabled Maybe[bool]   `json:"disabled,omitzero" doc:"He cannot sign in; null for false."`
	Password Maybe[string] `json:"password,omitzero" doc:"A new password, 12 to 200 characters; one's own only."`
}

func (s *server) editUser(ctx context.Context, a keys.Actor, in *editUserInput) (*userOutput, error) {
	edit := keys.UserEdit{IfVersion: versionsOf(in.IfMatch), Name: in.Body.Name.pointer(), Email: in.Body.Email.pointer(), Disabled: in.Body.Disabled.pointer()}
	if p := in.Body.Password; p.Set {
		secret := keys.NewSecret(p.Value)
		edit.Password = &secret
	}
	u, err := s.Registry.EditUser(ctx, a, keys.UserID(in.ID), edit)
	if err != nil {
		return nil, err
	}
	return showUserOutput(u), nil
}
