package admin

import "net/http"

const (
	indexDoc   = "Names the program and where the API is described."
	openapiDoc = "The OpenAPI 3.1 description of every endpoint of this listener."
)

// Index is what stands at the root.
type Index struct {
	Name     string `json:"name" doc:"What answers here." example:"Postern admin API"`
	Version  string `json:"version" doc:"Version of the program."`
	Document string `json:"document" doc:"Path of the API's description." example:"/openapi.json"`

	KeyExpression string `json:"key_expression,omitempty" doc:"The regular expression that API keys made here match, for leak scanners." example:"^pst_(live|test)_[0-9A-Za-z]{12}_[0-9A-Za-z]{43}[0-9A-Za-z]{6}$"`
}

func (s *server) index(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, "application/json", Index{
		Name: "Postern admin API", Version: s.Version, Document: "/openapi.json", KeyExpression: s.KeyExpression,
	})
}

func (s *server) openapi(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(s.document) // an error means that the client is gone
}
