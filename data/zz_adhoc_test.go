package data_test
import ("testing";"os";"encoding/json";"strings";"time")
func TestAdhoc(t *testing.T){
 b:=setup(t)
 raw,_:=os.ReadFile("/work/shared/data/movies.json")
 b.collection(`{"name":"movies","indexes":[{"fields":["IMDB Rating"]}]}`)
 s:=time.Now()
 r:=b.importAs("application/json","/movies/import",string(raw))
 t.Log(r.Imported,r.Failed,len(r.Errors),time.Since(s), r.Errors)
 a:=b.call("GET","/movies/export?shape=data&format=json","")
 var x,y []map[string]any
 json.Unmarshal(raw,&x); json.Unmarshal([]byte(a.raw),&y)
 t.Log(len(x),len(y))
 cnt:=map[string]int{}
 for _,m:=range x { j,_:=json.Marshal(m); cnt[string(j)]++ }
 for _,m:=range y { j,_:=json.Marshal(m); cnt[string(j)]-- }
 for k,v:=range cnt { if v!=0 { t.Error(k,v)}}
 for _,f:=range []string{"zipcodes.csv","birdstrikes.csv"} {
  raw,_:=os.ReadFile("/work/shared/data/"+f)
  n:=strings.TrimSuffix(f,".csv")
  b.collection(`{"name":"`+n+`"}`)
  s=time.Now()
  r=b.importAs(csv,"/"+n+"/import",string(raw))
  t.Log(f,r.Imported,r.Failed,time.Since(s),strings.Count(string(raw),"\n"), r.Errors)
  s=time.Now()
  a=b.call("GET","/"+n+"/export?shape=data&format=csv","")
  t.Log(len(raw),len(a.raw),time.Since(s), a.raw[:200])
 }
}
