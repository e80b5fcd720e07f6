export TMPDIR=$PWD/tmp
mkdir tmp

bench() {
    "$batchcam" bench "$data/model.onnx" --limit 4 --threads 2 "$@" 2>&1
    echo "= $?"
}

note 'the table has every stage, and the lines below it'
bench | awk '{ print $1 }' | grep -v '^disk$\|^memory$'

note 'JSON: one line, every stage in every row'
bench --json --no-files --batch 1,2 >json
grep -c '^{"message_type":"bench"' json
grep -o '"stage":"[a-z_]*"' json | sort | uniq -c
grep -c 'null\|inf\|nan' json

note 'CSV: a line for each batch and precision, and as many numbers as columns'
bench --csv --batch 4,1,2 --precision fp32 "$data/photos/boat" >csv
awk -F, 'NR == 1 { columns = NF; next }
    NF > 1 { good = 0; for (i = 2; i <= NF; i++) good += $i ~ /^[0-9.e+-]+$/ && $i >= 0; print $1, $2, $4, NF == columns && good == NF - 1 }' csv
tail -n 1 csv

note 'a sweep, and the page'
bench --no-files --batch 1,2,4 --report page.html | awk '$2 == "fp32" || /^=/ { print $1, $2 }'
grep -c '<svg' page.html
grep -c '<circle' page.html
grep -o 'src=\|href=' page.html

note 'what --deterministic costs: both, and the difference'
bench --deterministic --no-files --batch 1,2 | grep -o '^fp32 deterministic, batch [0-9]*: [0-9.]* in place of [0-9.]* photos/s\|^= .*' | sed 's/: .*//'
bench --deterministic --no-files --json --batch 2 | grep -o '"deterministic":[01]'

note 'nothing is left'
ls -A tmp

note 'what is refused'
try bench "$data/nothere.onnx"
try bench "$data/model.onnx" nothere
try bench "$data/model.onnx" --batch 8,9999
try bench "$data/model.onnx" --folder "$PWD/no/such"
try bench "$data/model.onnx" --report no/such/page.html
ls -A tmp
