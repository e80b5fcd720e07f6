try inspect "$data/model.onnx"
try inspect "$data/model.onnx" --json
scores=$data/../tests/golden_score
try inspect "$scores/two_outputs/model.onnx"
try inspect "$scores/two_heads/model.onnx" --output colour --json
try inspect "$scores/two_heads/model.onnx" --output colours
try inspect "$scores/binary_sigmoid/model.onnx"
try inspect nothere.onnx
try inspect nothere.onnx --json
echo 'not a model' >text.onnx
try inspect text.onnx
: >empty.onnx
try inspect empty.onnx
head -c 20000 "$data/model.onnx" >cut.onnx
try inspect cut.onnx
try inspect .
