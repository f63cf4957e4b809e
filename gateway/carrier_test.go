package gateway

import (
	"crypto/rand"
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"postern/internal/keys"
)

// someTexts are a format and texts of its: an API key and a client's secret.
func someTexts(t testing.TB) (f keys.Format, key, secret string) {
	t.Helper()
	f, err := keys.NewFormat("pst")
	if err != nil {
		t.Fatal(err)
	}
	_, k, err := f.NewKey(rand.Reader, false)
	if err != nil {
		t.Fatal(err)
	}
	_, s, err := f.NewClientSecret(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return f, k.Reveal(), s.Reveal()
}

func basic(id, secret string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(id+":"+secret))
}

func TestFindCredential(t *testing.T) {
	f, key, secret := someTexts(t)
	const id = "app_0123456789ab"
	usual := []Carrier{{Kind: Bearer}, {Kind: XAPIKey}, {Kind: Basic}, {Kind: ClientHeaders}}
	onlyKey := []Carrier{{Kind: XAPIKey}}
	odd := []Carrier{{Header, "X-Token"}, {Query, "api_key"}, {Kind: Bearer}}
	for _, tt := range []struct {
		name     string
		accept   []Carrier
		headers  []string // name, value …
		query    string
		text, id string
		code     keys.Code
		left     string // headers and query that the upstream gets
	}{
		{"none", usual, nil, "", "", "", keys.MissingCredentials, ""},
		{"bearer", usual, []string{"Authorization", "Bearer " + key}, "", key, "", "", ""},
		{"bearer in capitals", usual, []string{"Authorization", "BEARER " + key}, "", key, "", "", ""},
		{"bearer not ours", usual, []string{"Authorization", "Bearer eyJ"}, "", "eyJ", "", "", ""},
		{"bearer with a space too many", usual, []string{"Authorization", "Bearer  " + key}, "", key, "", "", ""},
		{"bearer with a tab", usual, []string{"Authorization", "Bearer\t" + key}, "", key, "", "", ""},
		{"our bearer after two spaces beside a key", usual, []string{"X-Api-Key", key, "Authorization", "Bearer  " + key}, "", "", "", keys.BadRequest, ""},
		{"bearer empty", usual, []string{"Authorization", "Bearer"}, "", "", "", "", ""},
		{"other scheme", usual, []string{"Authorization", "Digest x"}, "", "", "", keys.MissingCredentials, ""},
		{"key without scheme", usual, []string{"Authorization", key}, "", "", "", keys.MissingCredentials, ""},
		{"key header", usual, []string{"X-Api-Key", key}, "", key, "", "", ""},
		{"key header, not ours", usual, []string{"X-Api-Key", "zzz"}, "", "zzz", "", "", ""},
		{"key header, empty", usual, []string{"X-Api-Key", ""}, "", "", "", keys.MissingCredentials, ""},
		{"foreign bearer beside a key", usual, []string{"X-Api-Key", key, "Authorization", "Bearer eyJ"}, "", key, "", "", "Authorization: Bearer eyJ"},
		{"foreign bearer beside a wrong key", usual, []string{"X-Api-Key", "zzz", "Authorization", "Bearer eyJ"}, "", "zzz", "", "", "Authorization: Bearer eyJ"},
		{"our bearer beside a key", usual, []string{"X-Api-Key", key, "Authorization", "Bearer " + key}, "", "", "", keys.BadRequest, ""},
		{"client's secret as bearer beside a key", usual, []string{"X-Api-Key", key, "Authorization", "Bearer " + secret}, "", "", "", keys.BadRequest, ""},
		{"basic beside a key", usual, []string{"X-Api-Key", key, "Authorization", basic(id, secret)}, "", "", "", keys.BadRequest, ""},
		{"two keys", usual, []string{"X-Api-Key", key, "X-Api-Key", key}, "", "", "", keys.BadRequest, ""},
		{"two authorizations", usual, []string{"Authorization", "Bearer x", "Authorization", "Bearer y"}, "", "", "", keys.BadRequest, ""},
		{"basic", usual, []string{"Authorization", basic(id, secret)}, "", secret, id, "", ""},
		{"basic, lower case", usual, []string{"Authorization", "basic" + basic(id, secret)[5:]}, "", secret, id, "", ""},
		{"basic with a colon in the secret", usual, []string{"Authorization", basic(id, "a:b")}, "", "a:b", id, "", ""},
		{"basic, no base64", usual, []string{"Authorization", "Basic ???"}, "", "", "", "", ""},
		{"basic without padding", usual, []string{"Authorization", "Basic YTpiYw"}, "", "", "", "", ""},
		{"basic, not canonical", usual, []string{"Authorization", "Basic YTpiY2=="}, "", "", "", "", ""},
		{"basic for URLs", usual, []string{"Authorization", "Basic YTo_Pz8="}, "", "", "", "", ""},
		{"basic without colon", usual, []string{"Authorization", "Basic YWJj"}, "", "", "", "", ""},
		{"basic without secret", usual, []string{"Authorization", basic(id, "")}, "", "", "", "", ""},
		{"client headers", usual, []string{"X-Client-Id", id, "X-Client-Secret", secret}, "", secret, id, "", ""},
		{"id alone", usual, []string{"X-Client-Id", id}, "", "", "", keys.MissingCredentials, ""},
		{"secret alone", usual, []string{"X-Client-Secret", secret}, "", "", "", keys.MissingCredentials, ""},
		{"id beside a key", usual, []string{"X-Client-Id", id, "X-Api-Key", key}, "", key, "", "", "X-Client-Id: " + id},
		{"secret beside a key", usual, []string{"X-Client-Secret", secret, "X-Api-Key", key}, "", "", "", keys.BadRequest, ""},
		{"client headers beside a key", usual, []string{"X-Client-Id", id, "X-Client-Secret", secret, "X-Api-Key", key}, "", "", "", keys.BadRequest, ""},
		{"foreign bearer beside client headers", usual, []string{"X-Client-Id", id, "X-Client-Secret", secret, "Authorization", "Bearer eyJ"}, "", secret, id, "", "Authorization: Bearer eyJ"},
		{"carrier not accepted", onlyKey, []string{"Authorization", "Bearer " + key}, "", "", "", keys.MissingCredentials, ""},
		{"carrier not accepted beside one that is", onlyKey, []string{"Authorization", "Bearer " + key, "X-Api-Key", key}, "", key, "", "", "Authorization: Bearer " + key},
		{"query not accepted", usual, []string{"X-Api-Key", key}, "api_key=" + key, key, "", "", "?api_key=" + key},
		{"named header", odd, []string{"X-Token", key}, "", key, "", "", ""},
		{"named header beside the usual one", odd, []string{"X-Token", key, "X-Api-Key", "theirs"}, "", key, "", "", "X-Api-Key: theirs"},
		{"query", odd, nil, "a=b&api_key=" + key + "&c;d=%zz", key, "", "", "?a=b&c;d=%zz"},
		{"query alone", odd, nil, "api_key=" + key, key, "", "", ""},
		{"query, escaped name", odd, nil, "api%5Fkey=" + key + "&x", key, "", "", "?x"},
		{"query, escaped value", odd, nil, "api_key=%70" + key[1:], key, "", "", ""},
		{"query, broken value", odd, nil, "api_key=%zz", "", "", "", ""},
		{"query, empty", odd, nil, "api_key=&x", "", "", keys.MissingCredentials, ""},
		{"query twice", odd, nil, "api_key=a&api_key=b", "", "", keys.BadRequest, ""},
		{"query twice, once escaped", odd, nil, "api_key=a&api%5fkey=b", "", "", keys.BadRequest, ""},
		{"query beside a named header", odd, []string{"X-Token", key}, "api_key=" + key, "", "", keys.BadRequest, ""},
		{"query beside a foreign bearer", odd, []string{"Authorization", "Bearer eyJ"}, "api_key=" + key, key, "", "", "Authorization: Bearer eyJ"},
		{"query of another case", odd, nil, "API_KEY=" + key, "", "", keys.MissingCredentials, ""},
		{"query in a semicolon list", odd, nil, "a;api_key=" + key, "", "", keys.MissingCredentials, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, err := newCarriers(tt.accept)
			if err != nil {
				t.Fatal(err)
			}
			r := &http.Request{Header: http.Header{}, URL: &url.URL{Path: "/", RawQuery: tt.query}}
			for i := 0; i < len(tt.headers); i += 2 {
				r.Header.Add(tt.headers[i], tt.headers[i+1])
			}
			var p presented
			x := c.find(r, f, &p)
			code := keys.Admitted
			if x != nil {
				code = x.decision.Code
			}
			if code != tt.code || p.Text != tt.text || p.ClientID != tt.id {
				t.Fatalf("got %q, text %q, id %q, want %q, %q, %q", code, p.Text, p.ClientID, tt.code, tt.text, tt.id)
			}
			if x != nil {
				return
			}
			p.strip(r)
			if got := remains(r); got != tt.left {
				t.Errorf("the upstream gets %q, want %q", got, tt.left)
			}
		})
	}
}

// remains writes what is left of a request's headers and query.
func remains(r *http.Request) string {
	var list []string
	for name, values := range r.Header {
		for _, v := range values {
			list = append(list, name+": "+v)
		}
	}
	slices.Sort(list)
	if r.URL.RawQuery != "" {
		list = append(list, "?"+r.URL.RawQuery)
	}
	return strings.Join(list, "\n")
}

func TestHalfAClientSaysWhichHalf(t *testing.T) {
	c, err := newCarriers([]Carrier{{Kind: ClientHeaders}})
	if err != nil {
		t.Fatal(err)
	}
	for header, missing := range map[string]string{"X-Client-Id": "X-Client-Secret is missing", "X-Client-Secret": "X-Client-Id is missing"} {
		var p presented
		x := c.find(&http.Request{Header: http.Header{header: {"v"}}, URL: &url.URL{}}, keys.Format{}, &p)
		if x == nil || !strings.Contains(x.decision.Detail, missing) {
			t.Errorf("%s alone: got %+v, want a detail with %q", header, x, missing)
		}
	}
}

// FuzzCarrier: whatever a request holds, at most one credential is found; it is in the request
// word for word; and stripped, it is gone while everything else is as it was.
func FuzzCarrier(f *testing.F) {
	format, key, secret := someTexts(f)
	f.Add("Bearer "+key, "", "", "", "a=b")
	f.Add("Bearer x", key, "", "", "")
	f.Add(basic("app_0123456789ab", secret), "", "", "", "")
	f.Add("", "", "app_0123456789ab", secret, "")
	f.Add("", "", "", "", "a=1&api_key="+key+"&b=%zz")
	f.Add("Bearer ", "", "", "", "api%5Fkey=%2")
	f.Add("", "0", "", "", "api_key=&api_key=")
	c, err := newCarriers([]Carrier{{Kind: Bearer}, {Kind: XAPIKey}, {Kind: Basic}, {Kind: ClientHeaders}, {Query, "api_key"}})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, authorization, apiKey, id, secret, query string) {
		r := &http.Request{Header: http.Header{}, URL: &url.URL{RawQuery: query}}
		for name, v := range map[string]string{"Authorization": authorization, "X-Api-Key": apiKey, "X-Client-Id": id, "X-Client-Secret": secret} {
			if v != "" {
				r.Header[name] = []string{v}
			}
		}
		before := remains(r)
		var p presented
		if x := c.find(r, format, &p); x != nil {
			if p.Text != "" || p.from.Kind != 0 {
				t.Fatalf("refused with %q, and yet %q was found", x.decision.Code, p.Text)
			}
			if code := x.decision.Code; code != keys.BadRequest && code != keys.MissingCredentials {
				t.Fatalf("refused with %q", code)
			}
			return
		}
		if p.from.Kind == 0 {
			t.Fatal("found nothing, and did not refuse")
		}
		headers := len(r.Header)
		parameters := len(strings.Split(query, "&"))
		p.strip(r)
		switch p.from.Kind {
		case Query:
			kept := len(strings.Split(r.URL.RawQuery, "&"))
			if len(r.Header) != headers || (parameters > 1 && kept != parameters-1) || (parameters == 1 && r.URL.RawQuery != "") {
				t.Fatalf("%q became %q", before, remains(r))
			}
		case ClientHeaders:
			headers--
			fallthrough
		default:
			if len(r.Header) != headers-1 || r.URL.RawQuery != query {
				t.Fatalf("%q became %q", before, remains(r))
			}
		}
		var again presented
		if x := c.find(r, format, &again); x == nil && again.Text == p.Text && p.Text != "" && p.from.Kind != Bearer &&
			!strings.Contains(authorization, p.Text) {
			t.Fatalf("after stripping %v the same text is found in %v", p.from, again.from)
		}
	})
}
