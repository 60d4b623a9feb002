// Checks a log kept as C2SP files by the packages behind Go's checksum database (golang.org/x/mod/sumdb), which are
// not ours: notes are opened by its `note`, proofs and tiles judged by its `tlog`. tests/ledger/test_go.py writes the folder:
//
//	vkey                  the log's key                  witness-vkey    a witness's key
//	old-checkpoint        a checkpoint                   checkpoint      a later one
//	consistency           the proof between them, one hash in base64 a line
//	proofs/*.tlog-proof   entries with their proofs to the later checkpoint
//	tile/...              every tile and entry bundle of the later one
//
// It prints what it checked and exits 0, or says what does not hold and exits 1.
package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

func main() {
	if err := check(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func check(dir string) error {
	read := func(name string) string {
		content, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			panic(err)
		}
		return string(content)
	}
	log, err := note.NewVerifier(strings.TrimSpace(read("vkey")))
	if err != nil {
		return err
	}
	witness, err := newCosigner(strings.TrimSpace(read("witness-vkey")))
	if err != nil {
		return err
	}
	old, err := openCheckpoint(read("old-checkpoint"), log)
	if err != nil {
		return fmt.Errorf("old-checkpoint: %v", err)
	}
	tree, err := openCheckpoint(read("checkpoint"), log, witness)
	if err != nil {
		return fmt.Errorf("checkpoint: %v", err)
	}
	growth, err := hashes(strings.Fields(read("consistency")))
	if err != nil {
		return err
	}
	if err := tlog.CheckTree(growth, tree.N, tree.Hash, old.N, old.Hash); err != nil {
		return fmt.Errorf("consistency: %v", err)
	}
	reader := tlog.TileHashReader(tree, &tiles{dir})
	before, err := tlog.TreeHash(old.N, reader)
	if err != nil || before != old.Hash {
		return fmt.Errorf("the tiles do not make the old root: %v", err)
	}
	proofs, err := filepath.Glob(filepath.Join(dir, "proofs", "*.tlog-proof"))
	if err != nil || len(proofs) == 0 {
		return fmt.Errorf("no proof files: %v", err)
	}
	for _, path := range proofs {
		if err := checkProof(path, reader, log, witness); err != nil {
			return fmt.Errorf("%s: %v", filepath.Base(path), err)
		}
	}
	entries, err := checkEntries(dir, tree, reader)
	if err != nil {
		return err
	}
	fmt.Printf("%d entries, %d proofs, from %d to %d\n", entries, len(proofs), old.N, tree.N)
	return nil
}

// openCheckpoint opens a note that all of the verifiers must have signed.
func openCheckpoint(encoded string, verifiers ...note.Verifier) (tlog.Tree, error) {
	opened, err := note.Open([]byte(encoded), note.VerifierList(verifiers...))
	if err != nil {
		return tlog.Tree{}, err
	}
	if len(opened.Sigs) != len(verifiers) {
		return tlog.Tree{}, fmt.Errorf("%d of %d signed", len(opened.Sigs), len(verifiers))
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) != 4 || lines[0] != verifiers[0].Name() {
		return tlog.Tree{}, fmt.Errorf("%d lines of %q", len(lines), lines[0])
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return tlog.Tree{}, err
	}
	root, err := tlog.ParseHash(lines[2])
	return tlog.Tree{N: size, Hash: root}, err
}

// checkProof checks a proof file, and that the log's tiles give the very same proof.
func checkProof(path string, reader tlog.HashReader, verifiers ...note.Verifier) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	head, checkpoint, _ := strings.Cut(string(content), "\n\n")
	lines := strings.Split(head, "\n")
	if len(lines) < 3 || lines[0] != "c2sp.org/tlog-proof@v1" {
		return fmt.Errorf("no proof file")
	}
	entry, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(lines[1], "extra "))
	if err != nil {
		return err
	}
	index, err := strconv.ParseInt(strings.TrimPrefix(lines[2], "index "), 10, 64)
	if err != nil {
		return err
	}
	proof, err := hashes(lines[3:])
	if err != nil {
		return err
	}
	tree, err := openCheckpoint(checkpoint, verifiers...)
	if err != nil {
		return err
	}
	if err := tlog.CheckRecord(proof, tree.N, tree.Hash, index, tlog.RecordHash(entry)); err != nil {
		return err
	}
	own, err := tlog.ProveRecord(tree.N, index, reader)
	if err != nil {
		return err
	}
	if fmt.Sprint(own) != fmt.Sprint(tlog.RecordProof(proof)) {
		return fmt.Errorf("the tiles give another proof")
	}
	return nil
}

// checkEntries reads every entry bundle and compares each entry with its hash in the tree.
func checkEntries(dir string, tree tlog.Tree, reader tlog.HashReader) (int64, error) {
	var index int64
	for index < tree.N {
		tile := tlog.Tile{H: 8, L: 0, N: index / 256, W: 256}
		if tree.N-index < 256 {
			tile.W = int(tree.N - index)
		}
		bundle, err := os.ReadFile(filepath.Join(dir, strings.Replace(tile.Path(), "tile/8/0/", "tile/entries/", 1)))
		if err != nil {
			return 0, err
		}
		places := make([]int64, tile.W)
		for i := range places {
			places[i] = tlog.StoredHashIndex(0, index+int64(i))
		}
		stored, err := reader.ReadHashes(places)
		if err != nil {
			return 0, err
		}
		for _, hash := range stored {
			if len(bundle) < 2 || len(bundle) < 2+int(binary.BigEndian.Uint16(bundle)) {
				return 0, fmt.Errorf("entry %d is cut short", index)
			}
			end := 2 + int(binary.BigEndian.Uint16(bundle))
			if tlog.RecordHash(bundle[2:end]) != hash {
				return 0, fmt.Errorf("entry %d is another", index)
			}
			bundle = bundle[end:]
			index++
		}
		if len(bundle) > 0 {
			return 0, fmt.Errorf("bytes after entry %d", index-1)
		}
	}
	return index, nil
}

func hashes(lines []string) ([]tlog.Hash, error) {
	var found []tlog.Hash
	for _, line := range lines {
		hash, err := tlog.ParseHash(line)
		if err != nil {
			return nil, err
		}
		found = append(found, hash)
	}
	return found, nil
}

// tiles reads C2SP tiles, whose names leave out the height that Go's have.
type tiles struct{ dir string }

func (t *tiles) Height() int { return 8 }

func (t *tiles) ReadTiles(wanted []tlog.Tile) ([][]byte, error) {
	var found [][]byte
	for _, tile := range wanted {
		content, err := os.ReadFile(filepath.Join(t.dir, strings.Replace(tile.Path(), "tile/8/", "tile/", 1)))
		if err != nil {
			return nil, err
		}
		found = append(found, content)
	}
	return found, nil
}

func (t *tiles) SaveTiles([]tlog.Tile, [][]byte) {}

// cosigner verifies C2SP tlog-cosignature/v1 by Ed25519, which this version of `note` does not know of itself.
type cosigner struct {
	name string
	hash uint32
	key  ed25519.PublicKey
}

func newCosigner(vkey string) (*cosigner, error) {
	parts := strings.SplitN(vkey, "+", 3)
	if len(parts) != 3 {
		return nil, fmt.Errorf("no vkey: %q", vkey)
	}
	key, err := base64.StdEncoding.DecodeString(parts[2])
	if err != nil || len(key) != 33 || key[0] != 4 {
		return nil, fmt.Errorf("no key of a witness: %q", vkey)
	}
	sum := sha256.Sum256(append([]byte(parts[0]+"\n"), key...))
	if fmt.Sprintf("%x", sum[:4]) != parts[1] {
		return nil, fmt.Errorf("another key's id: %q", vkey)
	}
	return &cosigner{parts[0], binary.BigEndian.Uint32(sum[:]), key[1:]}, nil
}

func (c *cosigner) Name() string    { return c.name }
func (c *cosigner) KeyHash() uint32 { return c.hash }
func (c *cosigner) Verify(msg, sig []byte) bool {
	if len(sig) != 72 {
		return false
	}
	var signed bytes.Buffer
	fmt.Fprintf(&signed, "cosignature/v1\ntime %d\n%s", binary.BigEndian.Uint64(sig), msg)
	return ed25519.Verify(c.key, signed.Bytes(), sig[8:])
}
