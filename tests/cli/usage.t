note 'commands'
try rnu
try qwertyuiop
try help rnu
try inspect
try inspect a.onnx b.onnx
try selftest now
try version now

note 'options'
try run --layr=layer4
try run --qwertyuiop
try run -z
try run --de cpu
try run --ou out
try run --json=yes
try run --help=yes
try run --layer
try run -o

note 'values'
try run m.onnx photos -o ''
try run m.onnx photos -o out --batch 0
try run m.onnx photos -o out --batch 1x
try run m.onnx photos -o out --threads -1
try run m.onnx photos -o out --limit 99999999999999999999
try run m.onnx photos -o out --layer a,,b
try run m.onnx photos -o out --size huge
try run m.onnx photos -o out --dtype float64
try run m.onnx photos -o out --activation relu
try run m.onnx photos -o out --score loss
try inspect m.onnx --output ''
try run m.onnx photos -o out --precision fp8
try run m.onnx photos -o out --decode draft
try bench m.onnx --decode draft
try selftest --seed x

note 'what bench takes'
try bench
try bench m.onnx --batch 1,x
try bench m.onnx --batch 8,,1
try bench m.onnx --batch 0
try bench m.onnx --precision fp32,fp8
try bench m.onnx --json --csv

note 'what a run needs'
try run
try run m.onnx
try run m.onnx photos
try run m.onnx photos --output out
try run m.onnx photos -o out --output maps/
try run m.onnx photos -o out --preset unit --preprocess p.json

note 'standard output that takes nothing'
"$batchcam" version >/dev/full
echo "= $?"
