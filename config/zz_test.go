package config
import ("testing";"fmt";"strings";"crypto/sha256")
func TestZZ(t *testing.T){
 var b strings.Builder
 b.WriteString("version: 1\nplans: { p: { limits: [1/s] } }\nroutes: { a: { match: { path: / }, upstream: { targets: [\"http://a\"] }, scopes: { \"*\": [] } } }\naccess:\n  keys:\n")
 for i:=range 7000 { fmt.Fprintf(&b,"    key_%d: { hash: \"sha256:%x\", plan: p }\n",i,sha256.Sum256([]byte(fmt.Sprint(i)))) }
 for range 3 {Parse("x",[]byte(b.String()),LoadOptions{})}
}
