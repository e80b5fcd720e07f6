try inspect "$data/model.onnx"
try inspect "$data/model.onnx" --json
try inspect nothere.onnx
try inspect nothere.onnx --json
echo 'not a model' >text.onnx
try inspect text.onnx
: >empty.onnx
try inspect empty.onnx
head -c 20000 "$data/model.onnx" >cut.onnx
try inspect cut.onnx
try inspect .
