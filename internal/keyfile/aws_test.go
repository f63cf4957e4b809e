package keyfile

import (
	"strings"
	"testing"
)

func TestReadAWSCSV(t *testing.T) {
	plans := Options{Plans: map[string]string{"c7y23b": "basic", "glvrsr": "basic", "none": ""}}
	check(t, AWS, "Enabled,Name,key,UsageplanIds,Description,Owner\nTRUE,a,"+secret+",\"c7y23b,glvrsr\",\"first, of all\",x\nfalse,b,"+secret[1:]+",'c7y23b,none',,\n,c,"+secret[2:]+",,,\n",
		plans, []string{
			`2 {"name":"a","description":"first, of all","text":"` + secret + `","plan":"basic","metadata":{"aws_usage_plans":"c7y23b glvrsr"}}`,
			`3 {"name":"b","text":"` + secret[1:] + `","plan":"basic","status":"suspended","metadata":{"aws_usage_plans":"c7y23b none"}}`,
			`4 {"name":"c","text":"` + secret[2:] + `"}`,
		}, nil, []string{`1: the column "Owner" is not imported`})
	// The smallest file that Amazon takes.
	check(t, AWS, "Key,name\n"+secret+",MyFirstApiKey\n", Options{}, []string{`2 {"name":"MyFirstApiKey","text":"` + secret + `"}`}, nil, nil)
}

func TestReadAWSCSVProblems(t *testing.T) {
	check(t, AWS, "name,key,enabled,usageplanids\na,,maybe,p1\n,"+secret+",,\"p1,p2\"\n", Options{Plans: map[string]string{"p2": "x"}},
		[]string{`3 {"name":"","text":"` + secret + `","plan":"x","metadata":{"aws_usage_plans":"p1 p2"}}`}, []string{
			`2: enabled is "maybe"; it must be true or false`,
			"2: the key itself is missing; get-api-keys prints it with --include-values",
			`2: the usage plan "p1" stands for no plan (2 keys): add --map-plan p1=PLAN, or --map-plan p1= to leave it out`,
			"3: the key has no name",
		}, nil)
	check(t, AWS, "name,key,usageplanids\na,"+secret+",\"p1,p2\"\n", Options{Plans: map[string]string{"p1": "x", "p2": "y"}},
		[]string{`2 {"name":"a","text":"` + secret + `","plan":"x","metadata":{"aws_usage_plans":"p1 p2"}}`},
		[]string{"2: its usage plans stand for two plans, x and y; a key has one"}, nil)
}

func TestReadAWSJSON(t *testing.T) {
	check(t, AWS, `{"items": [
 {"id": "k1", "value": "`+secret+`", "name": "a", "description": "d", "customerId": "c", "enabled": false, "createdDate": 1701432000.0, "lastUpdatedDate": 1701432000,
  "stageKeys": ["x/prod"], "tags": {"team": "blue"}, "region": "eu"},
 {"id": "k2", "value": "`+secret[1:]+`", "enabled": true, "createdDate": "2024-03-01T10:00:00+01:00", "stageKeys": [], "name": null}
]}`, Options{}, []string{
		`2 {"name":"a","description":"d","text":"` + secret + `","status":"suspended","created_at":"2023-12-01T12:00:00Z","metadata":{"aws_customer_id":"c","aws_tag_team":"blue"},"external_id":"k1"}`,
		`4 {"name":"k2","text":"` + secret[1:] + `","created_at":"2024-03-01T09:00:00Z","external_id":"k2"}`,
	}, nil, []string{`3: "region" is not imported (it stands there 1 time)`, `3: "stageKeys" is not imported (it stands there 1 time)`})
}

func TestReadAWSJSONProblems(t *testing.T) {
	check(t, AWS, `{"items": [{"id": "k1", "name": "a", "enabled": "perhaps"}, "x"], "NextToken": "more"}`, Options{}, nil, []string{
		"1: enabled must be true or false",
		"1: the key itself is missing; get-api-keys prints it with --include-values",
		"1: a key must be an object",
		"1: NextToken says that there are more keys than these; get all of them in one file",
	}, nil)
	long := strings.Repeat("n", 200)
	check(t, AWS, `{"items": [{"value": "`+secret+`", "name": "`+long+`"}]}`, Options{},
		[]string{`1 {"name":"` + long[:99] + `…","text":"` + secret + `","metadata":{"aws_name":"` + long + `"}}`}, nil,
		[]string{"1: the name has 200 characters and is cut to 100; the whole one is kept in the metadata as aws_name"})
}
