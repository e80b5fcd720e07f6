run() {
    try run "$data/model.onnx" "$@" --names "$data/names.txt" --threads 2
}

note 'a run, and what it leaves behind'
run "$data/photos" -o out --limit 30 --overlay --quiet
(cd out && find . -path ./overlays/\* -o -print | sort)
find out/overlays -type f | wc -l

note 'the same folder again'
run "$data/photos" -o out --limit 30 --quiet
run "$data/photos" -o out --limit 30 --quiet --overwrite --size native --dtype uint8 --target top2,label

note 'decoded as named'
run "$data/photos/boat" -o fast --quiet --limit 2 --decode fast
grep -o '"decode":[[:space:]]*"[a-z]*"' out/run.json fast/run.json
echo

note 'as JSON lines; progress lines are left out here'
run "$data/photos/boat" -o json --json --quiet

note 'a probability explained, and the folder by its long name'
run "$data/photos/boat" --out probability --score probability --quiet --limit 2
grep -o '"score":[[:space:]]*"[a-z]*"' probability/run.json
echo

note 'photos that cannot be read have their row'
mkdir photos
cp "$data/photos/boat/boat-00.jpg" photos/good.jpg
head -c 700 photos/good.jpg >photos/cut.jpg
echo 'no photo' >photos/text.jpg
echo 'left out' >photos/notes.txt
printf 'photos/good.jpg\nphotos/nothere.jpg\n' >list.csv
run photos list.csv -o broken

note 'an archive with labels: as a file, as one on standard input, and cut off'
mkdir shard
for i in 0 1 2; do
    cp "$data/photos/boat/boat-0$i.jpg" shard/
    echo boat >shard/boat-0$i.cls
done
tar -cf shard.tar shard/boat-0{0,1,2}.{jpg,cls}
run shard.tar -o shard.out --target label
input=shard.tar run - -o stdin.out --target label --json
cmp shard.out/maps/*.npy stdin.out/maps/*.npy && echo 'the same maps'
head -c 8000 shard.tar >cut.tar
run cut.tar -o cut.out
ls cut.out | sort
echo

note 'a signal stops it after the batch in hand'
mkfifo lines
"$batchcam" run "$data/model.onnx" "$data"/photos{,,,,,,,,,,,,,,,} -o stopped --device reference --batch 1 --threads 1 --json --quiet >lines 2>errors &
job=$!
while read -r line; do
    case $line in
        *'"status"'*) kill -TERM "$job" ;;
        *'"summary"'*) grep -o '"stopped":[a-z]*' <<<"$line" ;;
    esac
done <lines
wait "$job"
echo "= $?"
ls stopped | sort
